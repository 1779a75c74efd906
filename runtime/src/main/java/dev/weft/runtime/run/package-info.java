/** The folder of a run: its configuration, its metrics, its summary, its checkpoints. */
@NullMarked
package dev.weft.runtime.run;

import org.jspecify.annotations.NullMarked;
