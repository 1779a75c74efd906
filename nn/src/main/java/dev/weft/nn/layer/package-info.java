/** Layers as functions over a scope. */
@NullMarked
package dev.weft.nn.layer;

import org.jspecify.annotations.NullMarked;
