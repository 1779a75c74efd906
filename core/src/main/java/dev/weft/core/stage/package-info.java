/**
 * Models in pieces: a traced forward graph is cut, each piece is differentiated by itself, and its
 * graph is taken apart into what runs forward, what is recomputed and what runs backward.
 */
@NullMarked
package dev.weft.core.stage;

import org.jspecify.annotations.NullMarked;
