package dev.weft.engine.program;

/**
 * What one call of a program took.
 *
 * @param origin the op and the value that it is for
 * @param call the kernel and the shapes of its tensors
 * @param nanoseconds of all runs that were profiled
 */
public record CallTime(String origin, String call, long nanoseconds) {}
