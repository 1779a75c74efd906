/**
 * Work in two halves of a batch, so that what one half awaits from other devices comes while the
 * other half computes.
 */
@org.jspecify.annotations.NullMarked
package dev.weft.core.overlap;
