/** The machine that this runs on: its memory, its cores, what was measured of it. */
@NullMarked
package dev.weft.runtime.machine;

import org.jspecify.annotations.NullMarked;
