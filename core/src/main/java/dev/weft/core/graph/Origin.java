package dev.weft.core.graph;

/**
 * Where a node comes from. Stages and shardings are decided on forward nodes; everything else finds
 * its forward node here.
 *
 * @param forward the name of the forward node: that of its first value when it was traced
 * @param role what the node does for that forward node
 * @param source the line of the model, {@code Gpt.java:42}; empty where there is none
 */
public record Origin(String forward, Role role, String source) {
  public Origin as(Role other) {
    return new Origin(forward, other, source);
  }
}
