package dev.weft.core.schedule;

import dev.weft.core.program.Order;
import dev.weft.core.program.PieceGraphs;
import dev.weft.core.program.Program;
import dev.weft.core.program.StageBuilder;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Makes of pieces and an order the programs of all stages.
 *
 * <p>What a micro-batch needs on a stage lives in pools: tensors that are there at the same times
 * share one, with as many slots as micro-batches are there at once if actions run when {@link
 * Timetable} says. Receives wait for nothing but their slot, sends begin when the value is made;
 * both stand in one order for all stages, that of the times at which values are made, so that none
 * can wait for one that waits for it.
 */
public final class Assembly {
  private final int microBatches;
  private final List<StageBuilder> stages = new ArrayList<>();
  private final List<Set<String>> folded = new ArrayList<>();

  private Assembly(int microBatches) {
    this.microBatches = microBatches;
  }

  /** A value that a stage needs of another. */
  record Letter(String name, int to) {}

  /**
   * A letter and who sends it.
   *
   * @param ordinal among the letters of its maker
   */
  record Transfer(Wiring.Maker maker, Letter letter, int ordinal) {}

  /**
   * The steps of all micro-batches.
   *
   * @param pieces by number; piece {@code chunk * stages + stage} lies on that stage
   * @param order where it recomputes for a piece that needs none, nothing is done
   * @param data names of inputs of kind DATA that come from outside, not from a piece
   * @throws IllegalStateException if pieces and order do not fit each other
   */
  public static Assembly of(List<PieceGraphs> pieces, Order order, Set<String> data) {
    int count = order.stages().size();
    if (pieces.size() != count * order.chunks()) {
      throw new IllegalStateException(
          pieces.size() + " pieces for " + order.chunks() + " chunks on " + count + " stages");
    }
    var wiring = new Wiring(pieces, data);
    var quick = new Timetable(order, wiring, 0);
    var slow = new Timetable(order, wiring, Timetable.TRANSFER);
    Map<Wiring.Maker, Set<Letter>> letters = letters(pieces.size(), count, wiring);
    List<List<Transfer>> transfers = transfers(count, letters);
    var assembly = new Assembly(order.microBatches());
    for (int stage = 0; stage < count; stage++) {
      var own = new LinkedHashMap<Integer, PieceGraphs>();
      for (int chunk = 0; chunk < order.chunks(); chunk++) {
        own.put(chunk * count + stage, pieces.get(chunk * count + stage));
      }
      var steps =
          new StageAssembly(stage, own, order, wiring, quick, slow, letters, transfers.get(stage));
      assembly.stages.add(steps.assemble());
      assembly.folded.add(steps.folded());
    }
    return assembly;
  }

  /** What each stage sends and receives. */
  private static List<List<Transfer>> transfers(
      int stages, Map<Wiring.Maker, Set<Letter>> letters) {
    var transfers = new ArrayList<List<Transfer>>();
    for (int stage = 0; stage < stages; stage++) {
      transfers.add(new ArrayList<>());
    }
    letters.forEach(
        (maker, sent) -> {
          int ordinal = 0;
          for (Letter letter : sent) {
            var transfer = new Transfer(maker, letter, ordinal++);
            transfers.get(maker.piece() % stages).add(transfer);
            transfers.get(letter.to()).add(transfer);
          }
        });
    return transfers;
  }

  private static Map<Wiring.Maker, Set<Letter>> letters(int pieces, int stages, Wiring wiring) {
    var letters = new HashMap<Wiring.Maker, Set<Letter>>();
    for (int piece = 0; piece < pieces; piece++) {
      int to = piece % stages;
      for (var work : wiring.works(piece)) {
        wiring
            .inputs(new Wiring.Maker(piece, work))
            .forEach(
                (name, maker) -> {
                  if (maker.piece() % stages != to) {
                    letters
                        .computeIfAbsent(maker, _ -> new java.util.LinkedHashSet<>())
                        .add(new Letter(name, to));
                  }
                });
      }
    }
    return letters;
  }

  /**
   * The accumulators of a stage, {@code name.sum}, whose sums are folded when the program has run,
   * see {@link PieceGraphs#last}.
   */
  public Set<String> folded(int stage) {
    return folded.get(stage);
  }

  /** The program that this is. */
  public Program program(String name) {
    return new Program(name, microBatches, stages.stream().map(StageBuilder::build).toList());
  }
}
