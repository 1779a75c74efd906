/** Micro benchmarks of engine and runtime. */
@NullMarked
package dev.weft.bench;

import org.jspecify.annotations.NullMarked;
