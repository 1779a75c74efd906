/** How a program on one device meets the programs on others. */
@NullMarked
package dev.weft.engine.collective;

import org.jspecify.annotations.NullMarked;
