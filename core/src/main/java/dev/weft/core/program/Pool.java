package dev.weft.core.program;

/**
 * Memory that is handed out together: as many slots as micro-batches live in it at once. A pool of
 * one slot whose buffers outlive the step (parameters, optimizer slots, accumulators) is kept.
 *
 * @param kept whether its contents outlive the program; other programs of the same name see them
 */
public record Pool(String name, int slots, boolean kept) {}
