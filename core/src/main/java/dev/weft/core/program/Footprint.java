package dev.weft.core.program;

/**
 * What computing a graph takes of a device beside the graph's inputs and outputs.
 *
 * @param scratch bytes for what lies between inputs and outputs; graphs that run one after another
 *     share them
 * @param constants bytes of what is known before any run; every choice of slots has them for itself
 * @param adopted the most bytes of results that one kernel allocates, held until they are copied
 * @param fullest the op at which most scratch memory is in use; empty where none is
 */
public record Footprint(long scratch, long constants, long adopted, String fullest) {}
