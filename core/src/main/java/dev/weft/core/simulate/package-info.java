/** Runs programs against costs instead of kernels. */
@NullMarked
package dev.weft.core.simulate;

import org.jspecify.annotations.NullMarked;
