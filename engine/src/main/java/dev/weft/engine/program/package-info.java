/** Graphs lowered to calls on planned memory. */
@NullMarked
package dev.weft.engine.program;

import org.jspecify.annotations.NullMarked;
