/**
 * Pipeline schedules: pure functions from stages and micro-batches to an {@link
 * dev.weft.core.program.Order}, one file each, and the assembly of pieces in such an order into a
 * {@link dev.weft.core.program.Program}.
 */
@NullMarked
package dev.weft.core.schedule;

import org.jspecify.annotations.NullMarked;
