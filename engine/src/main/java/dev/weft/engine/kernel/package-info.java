/** Kernels as ops write them, read. */
@NullMarked
package dev.weft.engine.kernel;

import org.jspecify.annotations.NullMarked;
