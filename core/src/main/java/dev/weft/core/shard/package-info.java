/**
 * Sharding: specs completed by propagation, graphs rewritten for the devices of a mesh, tensors
 * moved from one layout to another.
 */
@NullMarked
package dev.weft.core.shard;

import org.jspecify.annotations.NullMarked;
