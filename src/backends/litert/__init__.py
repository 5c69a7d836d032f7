"""LiteRT: conversion and quantization in its environment, and an interpreter as a runtime."""
