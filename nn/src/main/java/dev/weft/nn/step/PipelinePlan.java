package dev.weft.nn.step;

import dev.weft.core.cluster.Mesh;
import dev.weft.core.program.RecomputeTiming;
import dev.weft.core.schedule.Schedule;
import dev.weft.core.schedule.Schedules;
import dev.weft.core.schedule.Setting;
import dev.weft.core.simulate.CostModel;
import dev.weft.core.simulate.CountedCosts;
import dev.weft.core.stage.Recomputation;
import java.util.function.IntFunction;

/**
 * How a training step is spread over stages of devices.
 *
 * @param stages groups of devices
 * @param chunks pieces of the model on each stage
 * @param mesh of each stage's devices
 * @param zero the stage of ZeRO, 0 to 3, within each stage's mesh
 * @param microBatches how many a step has
 * @param recomputation by the number of a piece
 * @param timing when recomputation begins
 * @param cut where the model is cut
 * @param costs by which another order is taken where the schedule's own would lose to it
 * @param halves how far the halves of a device's rows stay apart
 * @param looping whether collectives are looped beside products
 */
public record PipelinePlan(
    int stages,
    int chunks,
    Mesh mesh,
    int zero,
    int microBatches,
    Schedule schedule,
    IntFunction<Recomputation> recomputation,
    RecomputeTiming timing,
    StageCut cut,
    CostModel costs,
    SubPipelining halves,
    MatmulLooping looping) {
  /** A plan that goes by counts of operations and bytes, for want of measurements. */
  public PipelinePlan(
      int stages,
      int chunks,
      Mesh mesh,
      int zero,
      int microBatches,
      Schedule schedule,
      IntFunction<Recomputation> recomputation,
      RecomputeTiming timing) {
    this(
        stages,
        chunks,
        mesh,
        zero,
        microBatches,
        schedule,
        recomputation,
        timing,
        StageCut.COUNTED,
        new CountedCosts(),
        SubPipelining.OFF,
        MatmulLooping.OFF);
  }

  /** One device that keeps all for its backward. */
  public static PipelinePlan alone(int microBatches) {
    return new PipelinePlan(
        1,
        1,
        Mesh.SINGLE,
        0,
        microBatches,
        Schedules.named("1f1b"),
        _ -> new Recomputation.None(),
        RecomputeTiming.EARLY);
  }

  /** The same with other recomputation. */
  public PipelinePlan withRecomputation(IntFunction<Recomputation> other) {
    return new PipelinePlan(
        stages,
        chunks,
        mesh,
        zero,
        microBatches,
        schedule,
        other,
        timing,
        cut,
        costs,
        halves,
        looping);
  }

  /** The same with another number of micro-batches. */
  public PipelinePlan withMicroBatches(int count) {
    return new PipelinePlan(
        stages,
        chunks,
        mesh,
        zero,
        count,
        schedule,
        recomputation,
        timing,
        cut,
        costs,
        halves,
        looping);
  }

  /** The same by other costs. */
  public PipelinePlan withCosts(CostModel other) {
    return new PipelinePlan(
        stages,
        chunks,
        mesh,
        zero,
        microBatches,
        schedule,
        recomputation,
        timing,
        cut,
        other,
        halves,
        looping);
  }

  /** What a schedule has to order. */
  public Setting setting() {
    return Setting.of(stages, microBatches).withChunks(chunks);
  }

  /** What a piece makes again, if the schedule has it do so. */
  public Recomputation recomputationOf(int piece) {
    return schedule.mayRecompute(setting(), piece)
        ? recomputation.apply(piece)
        : new Recomputation.None();
  }

  /** The same with halves of rows apart as another rule says. */
  public PipelinePlan withHalves(SubPipelining other) {
    return new PipelinePlan(
        stages,
        chunks,
        mesh,
        zero,
        microBatches,
        schedule,
        recomputation,
        timing,
        cut,
        costs,
        other,
        looping);
  }

  /** How many pieces the model is cut into. */
  public int pieces() {
    return stages * chunks;
  }

  /** The stage that a piece lies on. */
  public int stageOf(int piece) {
    return piece % stages;
  }
}
