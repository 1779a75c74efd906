package dev.weft.core.stage;

import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.cluster.Spec;
import dev.weft.core.grad.Autodiff;
import dev.weft.core.grad.Optimize;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Role;
import dev.weft.core.graph.Value;
import dev.weft.core.graph.Verifier;
import dev.weft.core.op.Shard;
import dev.weft.core.program.PieceGraphs.Held;
import dev.weft.core.program.Work;
import dev.weft.core.shard.Partitioned;
import dev.weft.core.shard.Partitioner;
import dev.weft.core.shard.Propagation;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * A piece, forward and backward in one graph, on local tensors of its mesh.
 *
 * @param graph inputs: the piece's, then arriving derivatives, then accumulators; outputs: the
 *     piece's, then derivatives by what it received, then gradients of parameters; outputs have the
 *     names by which pieces find them
 * @param forwardInputs how many inputs are the piece's
 * @param forwardOutputs how many outputs are the piece's
 * @param derivatives how many outputs are derivatives by received values
 * @param held how inputs and outputs lie
 */
record Differentiated(
    int number,
    Mesh mesh,
    Graph graph,
    int forwardInputs,
    int forwardOutputs,
    int derivatives,
    Map<String, Held> held) {

  static final String SUM = ".sum";

  /** The end of the name of a gradient that was added onto its accumulator. */
  static final String ADDED = ".sum.added";

  /** A piece differentiated, whole. */
  private record Program(Piece piece, Graph graph, List<String> outputs, int derivatives) {
    int forwardOutputs() {
      return piece.forward().outputs().size();
    }

    int derivativesEnd() {
      return forwardOutputs() + derivatives;
    }
  }

  static Differentiated of(
      Piece piece,
      Cotangents cotangents,
      Mesh mesh,
      Map<String, Layout> layouts,
      boolean accumulate,
      Partitions partitions) {
    if (mesh.size() == 1) {
      Program program = program(piece, cotangents, mesh, accumulate);
      Map<String, Held> held = new HashMap<>();
      for (Value value : program.graph().inputValues()) {
        held.put(value.name(), whole(value));
      }
      for (int i = 0; i < program.outputs().size(); i++) {
        held.put(program.outputs().get(i), whole(program.graph().outputs().get(i).value()));
      }
      return named(program, mesh, program.graph(), held);
    }
    Program once = program(piece, cotangents, mesh, false);
    Map<String, Layout> known = new HashMap<>(layouts);
    exchanged(once, cotangents, mesh, known);
    Differentiated local = partitioned(once, mesh, known, partitions);
    if (!accumulate) {
      return local;
    }
    // What is added onto stays as a micro-batch makes it.
    for (Value parameter : once.graph().inputs(Graph.Kind.PARAMETER)) {
      String sum = parameter.name() + SUM;
      known.put(sum, Objects.requireNonNull(local.held().get(sum)).layout());
    }
    return partitioned(program(piece, cotangents, mesh, true), mesh, known, partitions);
  }

  /** With another graph of the same inputs and outputs. */
  Differentiated with(Graph other) {
    return new Differentiated(
        number, mesh, other, forwardInputs, forwardOutputs, derivatives, held);
  }

  /** What another piece, alike but for names, is. */
  Differentiated like(int other, Graph named, Map<String, Held> holding) {
    return new Differentiated(
        other, mesh, named, forwardInputs, forwardOutputs, derivatives, Map.copyOf(holding));
  }

  private static Held whole(Value value) {
    return new Held(value.type(), Layout.whole(value.type().rank()));
  }

  private static Program program(
      Piece piece, Cotangents cotangents, Mesh mesh, boolean accumulate) {
    Graph forward = mesh.size() == 1 ? Shard.erase(piece.forward()) : piece.forward();
    List<String> names = piece.forward().outputValues().stream().map(Value::name).toList();
    Set<String> sent = new HashSet<>(piece.sent());
    var losses = new ArrayList<Value>();
    var arriving = new ArrayList<Autodiff.Arriving>();
    for (int i = 0; i < names.size(); i++) {
      String name = names.get(i);
      Value value = forward.outputs().get(i).value();
      if (name.equals(cotangents.loss())) {
        losses.add(value);
      }
      if (sent.contains(name)) {
        for (int consumer : cotangents.of(name)) {
          arriving.add(new Autodiff.Arriving(value, Cotangents.name(name, consumer)));
        }
      }
    }
    var received = new ArrayList<Value>();
    var outputs = new ArrayList<>(names);
    for (String name : piece.received()) {
      if (cotangents.of(name).contains(piece.number())) {
        received.add(forward.input(name).orElseThrow());
        outputs.add(Cotangents.name(name, piece.number()));
      }
    }
    List<Value> parameters = forward.inputs(Graph.Kind.PARAMETER);
    parameters.forEach(p -> outputs.add(p.name() + (accumulate ? ADDED : SUM)));
    var ends = new Autodiff.Ends(losses, arriving, received, parameters, accumulate);
    Graph whole = Verifier.verify("differentiation", Autodiff.gradients(forward, ends));
    return new Program(piece, Optimize.optimize(whole), outputs, received.size());
  }

  /** Decides how exchanged values lie, and that their derivatives lie alike. */
  private static void exchanged(
      Program program, Cotangents cotangents, Mesh mesh, Map<String, Layout> known) {
    Map<Value, Spec> specs = new HashMap<>();
    for (Value value : program.graph().inputValues()) {
      Layout layout = known.get(value.name());
      if (layout != null) {
        specs.put(value, layout.spec());
      }
    }
    Propagation.Result result = Propagation.propagate(program.graph(), mesh, specs);
    Piece piece = program.piece();
    for (int i = 0; i < program.forwardOutputs(); i++) {
      String name = program.outputs().get(i);
      if (piece.sent().contains(name)) {
        Value value = program.graph().outputs().get(i).value();
        known.putIfAbsent(name, Layout.of(result.spec(value), mesh));
        for (int consumer : cotangents.of(name)) {
          known.put(Cotangents.name(name, consumer), Objects.requireNonNull(known.get(name)));
        }
      }
    }
    for (String name : piece.received()) {
      Value value = program.graph().input(name).orElseThrow();
      known.putIfAbsent(name, Layout.of(result.spec(value), mesh));
      known.put(Cotangents.name(name, piece.number()), Objects.requireNonNull(known.get(name)));
    }
  }

  private static Differentiated partitioned(
      Program program, Mesh mesh, Map<String, Layout> known, Partitions partitions) {
    Graph graph = program.graph();
    Map<Value, Layout> inputs = new HashMap<>();
    for (Value value : graph.inputValues()) {
      Layout layout = known.get(value.name());
      if (layout != null) {
        inputs.put(value, layout);
      }
    }
    Map<Integer, Layout> outputs = new HashMap<>();
    Set<Integer> loose = new HashSet<>();
    for (int i = 0; i < program.outputs().size(); i++) {
      Layout layout = known.get(program.outputs().get(i));
      if (layout != null) {
        outputs.put(i, layout);
      } else if (i >= program.derivativesEnd()) {
        loose.add(i);
      }
    }
    var given = new Partitioner.Given(Map.of(), inputs, outputs, loose);
    Partitioned local = partitions.of(graph, given);
    Map<String, Held> held = new HashMap<>();
    for (int i = 0; i < graph.inputs().size(); i++) {
      Value value = graph.inputs().get(i).value();
      held.put(value.name(), new Held(value.type(), local.inputs().get(i)));
    }
    for (int i = 0; i < program.outputs().size(); i++) {
      Value value = graph.outputs().get(i).value();
      held.put(program.outputs().get(i), new Held(value.type(), local.outputs().get(i)));
    }
    return named(program, mesh, local.graph(), held);
  }

  private static Differentiated named(
      Program program, Mesh mesh, Graph local, Map<String, Held> held) {
    var roles = new ArrayList<Role>();
    for (int i = 0; i < program.outputs().size(); i++) {
      Role backward = i < program.derivativesEnd() ? Role.INPUT_GRADIENT : Role.WEIGHT_GRADIENT;
      roles.add(i < program.forwardOutputs() ? Role.FORWARD : backward);
    }
    Graph graph = Naming.outputs(local, program.outputs(), roles);
    return new Differentiated(
        program.piece().number(),
        mesh,
        Verifier.verify("naming", graph),
        program.piece().forward().inputs().size(),
        program.forwardOutputs(),
        program.derivatives(),
        Map.copyOf(held));
  }

  /**
   * What may run in the place of graphs where accumulators hold nothing yet: those that add, with
   * outputs that have the accumulators' names.
   */
  Map<Work, Graph> unseeded(Map<Work, Graph> graphs) {
    Map<Work, Graph> unseeded = new HashMap<>();
    graphs.forEach(
        (work, graph) -> {
          if (!Unseeded.applies(graph)) {
            return;
          }
          var names = new ArrayList<String>();
          var roles = new ArrayList<Role>();
          for (Graph.Output output : graph.outputs()) {
            String name = output.value().name();
            boolean adds = output.donated() != null;
            names.add(adds ? name.substring(0, name.length() - ADDED.length()) + SUM : name);
            roles.add(adds ? Role.WEIGHT_GRADIENT : Role.INPUT_GRADIENT);
          }
          Graph named = Naming.outputs(Unseeded.graph(graph), names, roles);
          unseeded.put(work, Verifier.verify("naming", named));
        });
    return unseeded;
  }
}
