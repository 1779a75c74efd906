/** Writing what must survive a crash: whole or not at all. */
@NullMarked
package dev.weft.runtime.storage;

import org.jspecify.annotations.NullMarked;
