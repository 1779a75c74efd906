/** Devices that run one program together. */
@NullMarked
package dev.weft.runtime.worker;

import org.jspecify.annotations.NullMarked;
