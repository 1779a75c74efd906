/** A device and the one thread that computes on it. */
@NullMarked
package dev.weft.engine.device;

import org.jspecify.annotations.NullMarked;
