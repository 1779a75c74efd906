/** Sharding against one device. */
@NullMarked
package dev.weft.core.shard;

import org.jspecify.annotations.NullMarked;
