/** Layers, losses, optimizers and models, written with the ops of core. */
@NullMarked
package dev.weft.nn;

import org.jspecify.annotations.NullMarked;
