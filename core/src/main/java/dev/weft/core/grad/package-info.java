/** Differentiates graphs and simplifies what comes out. */
@NullMarked
package dev.weft.core.grad;

import org.jspecify.annotations.NullMarked;
