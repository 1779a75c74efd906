/** Small programs that use Weft as any Maven project would. */
@NullMarked
package dev.weft.examples;

import org.jspecify.annotations.NullMarked;
