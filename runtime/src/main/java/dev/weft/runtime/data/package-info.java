/** Text to tokens, tokens to batches, and what a model of plain counts makes of the same text. */
@NullMarked
package dev.weft.runtime.data;

import org.jspecify.annotations.NullMarked;
