/** Clusters: read from files, and this machine measured as one. */
@NullMarked
package dev.weft.runtime.cluster;

import org.jspecify.annotations.NullMarked;
