/** Typed, immutable graphs of ops; what an op says of itself; the builder that makes graphs. */
@NullMarked
package dev.weft.core.graph;

import org.jspecify.annotations.NullMarked;
