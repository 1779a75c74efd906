package dev.weft.runtime.worker;

import dev.weft.core.graph.Graph;
import dev.weft.core.graph.Value;
import dev.weft.core.program.Footprint;
import dev.weft.core.program.Fragment;
import dev.weft.core.program.StageProgram;
import dev.weft.engine.program.Compiled;
import dev.weft.engine.program.Lowered;
import dev.weft.engine.program.Place;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** One stage of a program, its fragments compiled for its devices. */
public final class CompiledStage {
  private final StageProgram stage;
  private final List<Place> places;
  private final List<List<Compiled>> fragments;

  private CompiledStage(StageProgram stage, List<Place> places, List<List<Compiled>> fragments) {
    this.stage = stage;
    this.places = List.copyOf(places);
    this.fragments = List.copyOf(fragments);
  }

  static CompiledStage of(StageProgram stage, Compilation compilation) {
    List<Place> places = stage.buffers().stream().map(b -> Place.of(b.name(), b.local())).toList();
    List<List<Compiled>> fragments =
        compilation.stream(stage.fragments())
            .map(fragment -> compiled(stage, fragment, places, compilation))
            .toList();
    return new CompiledStage(stage, places, fragments);
  }

  private static List<Compiled> compiled(
      StageProgram stage, Fragment fragment, List<Place> places, Compilation compilation) {
    Graph graph = fragment.graph().withName(fragment.name());
    Map<Value, Place> bound = new HashMap<>();
    for (int i = 0; i < graph.inputs().size(); i++) {
      bound.put(graph.inputs().get(i).value(), places.get(fragment.inputs().get(i)));
    }
    Map<Integer, Place> given = new HashMap<>();
    for (int i = 0; i < graph.outputs().size(); i++) {
      given.put(i, places.get(fragment.outputs().get(i)));
    }
    int devices = stage.mesh().size();
    Lowered common = Compilation.common(graph, compilation.kind(), devices, compilation.bucket());
    var all = new ArrayList<Compiled>();
    for (int device = 0; device < (compilation.each() ? devices : 1); device++) {
      all.add(
          Compiled.of(
              compilation.kind(),
              compilation.threads(),
              compilation.routes(),
              Compilation.own(common, stage.mesh(), device),
              bound,
              given));
    }
    return List.copyOf(all);
  }

  StageProgram stage() {
    return stage;
  }

  /** What stands for each buffer of the stage, whatever the slot. */
  List<Place> places() {
    return places;
  }

  /** A fragment as each device runs it. */
  List<Compiled> fragment(int number) {
    return fragments.get(number);
  }

  /** What a fragment takes of a device. */
  public Footprint footprint(int fragment, int device) {
    return fragments.get(fragment).get(device).footprint();
  }
}
