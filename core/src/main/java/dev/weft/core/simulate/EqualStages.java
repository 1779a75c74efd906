package dev.weft.core.simulate;

import dev.weft.core.cluster.Layout;
import dev.weft.core.cluster.Mesh;
import dev.weft.core.graph.Builder;
import dev.weft.core.graph.DataType;
import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Literal;
import dev.weft.core.graph.TensorType;
import dev.weft.core.op.Constant;
import dev.weft.core.program.Action;
import dev.weft.core.program.Buffer;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.Order;
import dev.weft.core.program.Pool;
import dev.weft.core.program.Program;
import dev.weft.core.program.StageProgram;
import dev.weft.core.program.Step;
import dev.weft.core.program.Work;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * The program of an order without a model: each piece takes one number from the piece before it,
 * and a cotangent from the piece after it. Every micro-batch has memory of its own, so that none
 * waits for any.
 */
public final class EqualStages {
  private static final TensorType NUMBER = TensorType.scalar(DataType.F32);
  private static final int NONE = -1;

  private final Order order;
  private final int stage;
  private final List<List<Integer>> slots;
  private final List<Buffer> buffers = new ArrayList<>();
  private final Map<String, Integer> names = new HashMap<>();
  private final List<Fragment> fragments = new ArrayList<>();

  /** By kind of work, then chunk, the numbers of fragments. */
  private final int[][] numbers;

  /** By chunk what comes, and what is sent, going forward and backward. */
  private final Way[] comes;

  private final Way[] goes;
  private final Way[] comesBack;
  private final Way[] goesBack;
  private final List<Step> steps = new ArrayList<>();

  /**
   * A number on its way.
   *
   * @param stage the other stage; {@link #NONE} if it stays here, or there is no such piece
   */
  private record Way(String name, int stage) {}

  private EqualStages(Order order, int stage, List<List<Integer>> slots) {
    this.order = order;
    this.stage = stage;
    this.slots = slots;
    numbers = new int[Work.values().length][order.chunks()];
    for (int[] some : numbers) {
      Arrays.fill(some, NONE);
    }
    comes = new Way[order.chunks()];
    goes = new Way[order.chunks()];
    comesBack = new Way[order.chunks()];
    goesBack = new Way[order.chunks()];
    for (int chunk = 0; chunk < order.chunks(); chunk++) {
      int piece = chunk * stages() + stage;
      comes[chunk] = new Way("h." + (piece - 1), elsewhere(piece - 1));
      goes[chunk] = new Way("h." + piece, elsewhere(piece + 1));
      comesBack[chunk] = new Way(cotangent(piece), elsewhere(piece + 1));
      goesBack[chunk] = new Way(cotangent(piece - 1), elsewhere(piece - 1));
    }
  }

  /** The program of an order, one device per stage. */
  public static Program program(Order order) {
    List<List<Integer>> slots =
        IntStream.range(0, order.microBatches()).mapToObj(List::of).toList();
    List<StageProgram> stages =
        IntStream.range(0, order.stages().size())
            .mapToObj(stage -> new EqualStages(order, stage, slots).build())
            .toList();
    return new Program("train", order.microBatches(), stages);
  }

  private StageProgram build() {
    // Where a recompute has awaited the cotangent, the backward need not receive it again.
    int[] received = new int[order.chunks() * order.microBatches()];
    Arrays.fill(received, NONE);
    for (Action action : order.stages().get(stage)) {
      int chunk = action.chunk();
      int place = chunk * order.microBatches() + action.microBatch();
      switch (action.work()) {
        case FORWARD -> {
          run(action, arrival(comes[chunk], action));
          departure(goes[chunk], action);
        }
        case RECOMPUTE -> {
          if (order.inline().get(stage).contains(action)) {
            received[place] = arrival(comesBack[chunk], action);
            run(action, received[place]);
          } else {
            run(action, NONE);
          }
        }
        case BACKWARD, INPUT_GRADIENT -> {
          int early = received[place];
          received[place] = NONE;
          run(action, early == NONE ? arrival(comesBack[chunk], action) : early);
          departure(goesBack[chunk], action);
        }
        case WEIGHT_GRADIENT -> run(action, NONE);
        case MICRO_BATCH, STEP -> throw new IllegalStateException("an order has neither");
      }
    }
    return new StageProgram(
        stage,
        Mesh.SINGLE,
        List.of(new Pool("flow", order.microBatches(), false)),
        buffers,
        fragments,
        steps);
  }

  private int stages() {
    return order.stages().size();
  }

  /** The cotangent of what a piece sends on. */
  private static String cotangent(int piece) {
    return "h." + piece + ".grad." + (piece + 1);
  }

  /** The stage of a piece if there is such a piece, on another stage. */
  private int elsewhere(int piece) {
    return piece >= 0 && piece < stages() * order.chunks() && piece % stages() != stage
        ? piece % stages()
        : NONE;
  }

  private int buffer(String name) {
    return names.computeIfAbsent(
        name,
        _ -> {
          buffers.add(new Buffer(name, NUMBER, Layout.whole(0), NUMBER, Graph.Kind.STATE, 0));
          return buffers.size() - 1;
        });
  }

  /** Receives a value; gives the step to be awaited for it. */
  private int arrival(Way from, Action action) {
    if (from.stage() == NONE) {
      return NONE;
    }
    int microBatch = action.microBatch();
    steps.add(
        new Step.Receive(buffer(from.name()), microBatch, from.stage(), microBatch, List.of()));
    return steps.size() - 1;
  }

  /** Sends what the last step made. */
  private void departure(Way to, Action action) {
    if (to.stage() != NONE) {
      int microBatch = action.microBatch();
      steps.add(
          new Step.Send(
              buffer(to.name()), microBatch, to.stage(), microBatch, List.of(steps.size() - 1)));
    }
  }

  private void run(Action action, int awaited) {
    int[] ofKind = numbers[action.work().ordinal()];
    if (ofKind[action.chunk()] == NONE) {
      ofKind[action.chunk()] = fragment(action.work(), action.chunk());
    }
    steps.add(
        new Step.Run(
            ofKind[action.chunk()],
            action.microBatch(),
            slots.get(action.microBatch()),
            awaited == NONE ? List.of() : List.of(awaited)));
  }

  private int fragment(Work work, int chunk) {
    var graph = new Builder(work.letter() + (chunk * stages() + stage));
    var inputs = new ArrayList<Integer>();
    var outputs = new ArrayList<Integer>();
    boolean backward = work == Work.BACKWARD || work == Work.INPUT_GRADIENT;
    if (work == Work.FORWARD) {
      connect(inputs, comes[chunk]);
      connect(outputs, goes[chunk]);
    } else if (backward) {
      connect(inputs, comesBack[chunk]);
      connect(outputs, goesBack[chunk]);
    }
    inputs.forEach(i -> graph.input(buffers.get(i).name(), NUMBER, Graph.Kind.DATA));
    outputs.forEach(
        i ->
            graph.output(
                graph
                    .add(
                        new Constant(Literal.scalar(DataType.F32, 0)),
                        List.of(),
                        List.of(buffers.get(i).name()))
                    .getFirst()));
    fragments.add(new Fragment(graph.build().name(), work, chunk, graph.build(), inputs, outputs));
    return fragments.size() - 1;
  }

  private void connect(List<Integer> side, Way way) {
    if (way.stage() != NONE) {
      side.add(buffer(way.name()));
    }
  }
}
