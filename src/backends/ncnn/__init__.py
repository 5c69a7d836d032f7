"""ncnn: conversion by pnnx in its environment, and a network as a runtime."""
