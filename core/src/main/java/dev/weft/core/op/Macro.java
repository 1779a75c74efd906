package dev.weft.core.op;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Value;
import java.util.List;

/** A statement of the text form that stands for many nodes: made when the text is read. */
public interface Macro {
  /**
   * Adds the nodes.
   *
   * @param graph what was read so far; all its values are outputs
   * @param operands the values between the parentheses
   * @param results how many values the statement names
   * @return the graph with as many further outputs
   * @throws dev.weft.core.cluster.UserException if the operands do not fit
   */
  Graph expand(Graph graph, List<Value> operands, int results);
}
