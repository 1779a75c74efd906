/** Devices of this process exchange tensors through the memory that they share. */
@NullMarked
package dev.weft.runtime.collective;

import org.jspecify.annotations.NullMarked;
