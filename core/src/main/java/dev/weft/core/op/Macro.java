package dev.weft.core.op;

import dev.weft.core.graph.Builder;
import java.util.List;

/** A statement of the text form that stands for many nodes: made when the text is read. */
public interface Macro {
  /**
   * Adds the nodes.
   *
   * @param builder the graph read so far
   * @param operands the values between the parentheses
   * @param results how many values the statement names
   * @return as many values as the statement names
   */
  List<Tensor> expand(Builder builder, List<Tensor> operands, int results);
}
