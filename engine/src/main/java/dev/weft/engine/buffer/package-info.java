/** Native memory that Weft plans itself, and the account of a device's bytes. */
@NullMarked
package dev.weft.engine.buffer;

import org.jspecify.annotations.NullMarked;
