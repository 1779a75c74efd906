/**
 * Loops of Weft's own on vectors of numbers. What here needs the module {@code
 * jdk.incubator.vector} is loaded only where {@link dev.weft.engine.vector.Vectors} found it.
 */
@NullMarked
package dev.weft.engine.vector;

import org.jspecify.annotations.NullMarked;
