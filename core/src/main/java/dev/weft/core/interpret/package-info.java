/** Runs graphs in plain Java: the meaning that everything else is held against. */
@NullMarked
package dev.weft.core.interpret;

import org.jspecify.annotations.NullMarked;
