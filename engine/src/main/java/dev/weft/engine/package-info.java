/** Runs graphs on devices through libtorch. */
@NullMarked
package dev.weft.engine;

import org.jspecify.annotations.NullMarked;
