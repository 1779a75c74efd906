/** A training step as graphs. */
@NullMarked
package dev.weft.nn.step;

import org.jspecify.annotations.NullMarked;
