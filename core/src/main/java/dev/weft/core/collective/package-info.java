/**
 * What devices compute together, and what depends on where a device stands: the ops that the
 * partitioner puts into a graph.
 */
@NullMarked
package dev.weft.core.collective;

import org.jspecify.annotations.NullMarked;
