/** Optimizers and schedules. */
@NullMarked
package dev.weft.nn.optimizer;

import org.jspecify.annotations.NullMarked;
