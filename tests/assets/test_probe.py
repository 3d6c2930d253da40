import time
def test_probe(definitions, home, carry_out):
    import dagster as dg
    from schedules.backfills import plan_repair
    g = definitions.resolve_asset_graph()
    with dg.DagsterInstance.ephemeral() as inst:
        t=time.time(); plan=plan_repair(inst,g,home); print(time.time()-t,[ (len(p.keys),p.days) for p in plan])
        keys=[k for k in plan[0].keys if g.get(k).group_name in ("ingestion","validation","features")]
        t=time.time(); r=carry_out(inst,keys,plan[0].days); print(r.success,time.time()-t)
        for e in r.all_events:
            if e.is_failure: print(e.message, e.event_specific_data)
        t=time.time(); plan=plan_repair(inst,g,home); print(time.time()-t,[ (sorted(k.to_user_string() for k in p.keys),p.days) for p in plan])
