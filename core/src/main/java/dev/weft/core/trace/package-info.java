/** Turns a model, a function over a named scope, into a forward graph. */
@NullMarked
package dev.weft.core.trace;

import org.jspecify.annotations.NullMarked;
