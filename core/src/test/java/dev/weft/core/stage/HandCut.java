package dev.weft.core.stage;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Node;
import dev.weft.core.graph.Value;
import dev.weft.core.trace.Parameter;
import dev.weft.core.trace.Traced;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Cuts a model between its nodes, repeats whole, and sends whatever crosses. */
final class HandCut {
  private HandCut() {}

  /**
   * Pieces of a model.
   *
   * @param ends for each piece the number of the first node that is not in it nor before it
   */
  static List<Piece> pieces(Traced model, List<Integer> ends) {
    Graph graph = model.graph();
    Map<Value, Integer> made = new HashMap<>();
    for (int i = 0; i < graph.nodes().size(); i++) {
      int index = i;
      int piece = (int) ends.stream().filter(end -> end <= index).count();
      graph.nodes().get(i).outputs().forEach(v -> made.put(v, piece));
    }
    List<Set<Value>> reads = new ArrayList<>();
    int start = 0;
    for (int end : ends) {
      Set<Value> read = new LinkedHashSet<>();
      graph.nodes().subList(start, end).forEach(n -> read.addAll(n.inputs()));
      reads.add(read);
      start = end;
    }
    var pieces = new ArrayList<Piece>();
    start = 0;
    for (int number = 0; number < ends.size(); number++) {
      List<Node> nodes = graph.nodes().subList(start, ends.get(number));
      start = ends.get(number);
      int here = number;
      var inputs = new ArrayList<Graph.Input>();
      var received = new ArrayList<String>();
      for (Value value : reads.get(number)) {
        if (made.getOrDefault(value, here) < here) {
          inputs.add(new Graph.Input(value, Graph.Kind.DATA));
          received.add(value.name());
        }
      }
      graph.inputs().stream().filter(i -> reads.get(here).contains(i.value())).forEach(inputs::add);
      Set<Value> sent = new LinkedHashSet<>();
      for (Node node : nodes) {
        for (Value value : node.outputs()) {
          if (reads.subList(here + 1, ends.size()).stream().anyMatch(r -> r.contains(value))) {
            sent.add(value);
          }
        }
      }
      List<Value> returned =
          graph.outputValues().stream().filter(v -> made.getOrDefault(v, -1) == here).toList();
      Set<Value> outputs = new LinkedHashSet<>(sent);
      outputs.addAll(returned);
      Graph forward =
          new Graph(
              "piece" + number,
              inputs,
              nodes,
              outputs.stream().map(v -> new Graph.Output(v, null)).toList());
      List<Parameter> parameters =
          model.parameters().stream().filter(p -> forward.input(p.name()).isPresent()).toList();
      pieces.add(
          new Piece(
              number,
              forward,
              parameters,
              received,
              sent.stream().map(Value::name).toList(),
              returned.stream().map(Value::name).toList()));
    }
    return pieces;
  }
}
