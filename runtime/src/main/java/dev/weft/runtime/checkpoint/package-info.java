/** Tensors on disk, and checkpoints made of them. */
@NullMarked
package dev.weft.runtime.checkpoint;

import org.jspecify.annotations.NullMarked;
