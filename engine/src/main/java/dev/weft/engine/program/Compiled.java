package dev.weft.engine.program;

import dev.weft.core.cluster.DeviceKind;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.TensorType;
import dev.weft.core.graph.Value;
import dev.weft.core.program.Footprint;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A graph compiled for a kind of device: everything decided but the addresses. No device is needed
 * for that, and none holds anything for it; several may load it, each on memory of its own.
 */
public final class Compiled {
  private static final long ALIGNMENT = 64;

  private final String name;
  private final Program program;
  private final double flops;
  private final List<Place> results;
  private final List<Place> own;

  private Compiled(
      String name, Program program, double flops, List<Place> results, List<Place> own) {
    this.name = name;
    this.program = program;
    this.flops = flops;
    this.results = List.copyOf(results);
    this.own = List.copyOf(own);
  }

  /**
   * Compiles a graph.
   *
   * @param threads cores that kernels will use
   * @param routes chooses how ops are computed
   * @param lowered one device's graph
   * @param bound a place for every input; an output with a donated input ends in that one's place
   * @param given places for outputs by their index; the others get memory of their own
   */
  public static Compiled of(
      DeviceKind kind,
      int threads,
      Routes routes,
      Lowered lowered,
      Map<Value, ? extends Place> bound,
      Map<Integer, ? extends Place> given) {
    Graph graph = lowered.graph();
    for (Value input : graph.inputValues()) {
      Place place = bound.get(input);
      if (place == null) {
        throw new IllegalArgumentException(
            "graph " + graph.name() + ": " + input + " is not bound");
      }
      if (!place.type().equals(input.type())) {
        throw new IllegalArgumentException(
            "graph " + graph.name() + ": " + input + " is bound to " + place);
      }
    }
    var results = new ArrayList<Place>();
    var own = new ArrayList<Place>();
    for (int i = 0; i < graph.outputs().size(); i++) {
      Graph.Output output = graph.outputs().get(i);
      TensorType type = output.value().type();
      Value donor = output.donated();
      Place place = given.get(i);
      if (place != null && !place.type().equals(type)) {
        throw new IllegalArgumentException(
            "graph " + graph.name() + ": output " + output.value() + " is given " + place);
      }
      if (donor != null) {
        results.add(bound.get(donor));
      } else if (place != null) {
        results.add(place);
      } else {
        Place made = Place.of(graph.name() + " output %" + output.value().name(), type);
        results.add(made);
        own.add(made);
      }
    }
    for (Place result : results) {
      if (!result.layout().isContiguous()) {
        throw new IllegalArgumentException(
            "graph " + graph.name() + ": output into " + result + ", which is not row-major");
      }
    }
    Program program =
        Program.of(
            graph, kind, (op, types) -> routes.choose(kind, threads, op, types), bound, results);
    return new Compiled(graph.name(), program, lowered.flops(), results, own);
  }

  String name() {
    return name;
  }

  Program program() {
    return program;
  }

  /** Floating point operations of one run. */
  double flops() {
    return flops;
  }

  /** The places in which outputs are after a run. */
  List<Place> results() {
    return results;
  }

  /** The places of outputs that get memory of their own. */
  List<Place> own() {
    return own;
  }

  /** What a run takes of a device beside inputs and outputs. */
  public Footprint footprint() {
    Optional<Command> adopter = adopter();
    return new Footprint(
        program.plan().bytes(),
        constantBytes(),
        adopter.map(Compiled::adoptedBytes).orElse(0L),
        program.commands().isEmpty() || program.plan().bytes() == 0
            ? ""
            : program.commands().get(program.plan().fullest()).origin());
  }

  /** Where each constant begins in the memory of all. */
  Map<Buffer, Long> constantOffsets() {
    Map<Buffer, Long> offsets = new HashMap<>();
    long end = 0;
    for (Buffer buffer : program.constants().keySet()) {
      long offset = Math.ceilDiv(end, ALIGNMENT) * ALIGNMENT;
      offsets.put(buffer, offset);
      end = offset + buffer.bytes;
    }
    return offsets;
  }

  /** Bytes of all constants, with the gaps between them. */
  private long constantBytes() {
    return constantOffsets().entrySet().stream()
        .mapToLong(entry -> entry.getValue() + entry.getKey().bytes)
        .max()
        .orElse(0);
  }

  /** The call that allocates most for itself. */
  Optional<Command> adopter() {
    return program.commands().stream().max(Comparator.comparingLong(Compiled::adoptedBytes));
  }

  /** Bytes of results that a call allocates itself: they live until they are copied. */
  static long adoptedBytes(Command command) {
    return command instanceof Command.Library library
        ? library.results().stream()
            .flatMap(Optional::stream)
            .mapToLong(result -> result.shape().elements() * result.dtype().bytes())
            .sum()
        : 0;
  }
}
