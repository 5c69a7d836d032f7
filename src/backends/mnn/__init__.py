"""MNN: conversion in its environment, and a module as a runtime."""
