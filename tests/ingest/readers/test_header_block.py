"""Names, units and rates in several lines above a table."""

import pytest

from kinemill.ingest.readers._header_block import names_and_units, stated_rate


@pytest.mark.parametrize(
    ("lines", "row", "names", "units"),
    [
        (["Tool,2", "", "t,q,u", "(ms),(deg),(Nm)", "begin"], "0,1,2", "t q u", "(ms) (deg) (Nm)"),
        ([",,a,,b,", "n,t,x,y,x,y"], "1,0,1,2,3,4", "n t a.x a.y b.x b.y", None),
        (["name,t,q", "unit,s,rad", "start"], ",0,1", "- t q", "- s rad"),
        (["time,pos,cmd", "s,rad,V", "now,coder,AO0"], "0,1,2", "time pos cmd", "s rad V"),
        (["time,pos,cmd", "s,ticks,inc"], "0,1,2", "time pos cmd", "s - -"),
        (["rig,old,new", "time,pos,cmd", "ms,deg,V"], "0,1,2", "time pos cmd", "ms deg V"),
        (["Name,q,Name,u", "Offset,0,Offset,0"], "0,1,0,2", "time q time u", None),
    ],
)
def test_names_and_units_are_found_by_width_labels_and_groups(lines, row, names, units):
    found = names_and_units([line.split(",") for line in lines], row.split(","))
    assert found is not None
    assert [name or "-" for name in found[0]] == names.split()
    if units:
        assert [unit or "-" for unit in found[1]] == units.split()


@pytest.mark.parametrize("lines", [["t,q"], ["t,q", "s,rad"], ["a remark", "t,q"]])
def test_plain_headers_are_left_to_the_reader_of_csv(lines):
    assert names_and_units([line.split(",") for line in lines], ["0", "1"]) is None


@pytest.mark.parametrize(
    ("line", "rate"),
    [
        ("Sample Rate;100;Hz", 100.0),
        ("Abtastzeit;10;ms", 100.0),
        ("Sample Period:;10 ms", 100.0),
        ("SampleTime[ms];10", 100.0),
        ("Trajectories;100", 100.0),
        ("Delta_X;0,01", 100.0),
        ("Samples;400", None),
        ("Messzeit;10 s", None),
        ("Abtastrate;10 ms", 100.0),
        ("Sample Rate;1,000 Hz", None),
        ("Zykluszeit [ms];10", 100.0),
        ("Abtastfrequenz;0,1 kHz", 100.0),
        ("Intervalle d'échantillonnage;10 ms", 100.0),
        ("Periodo de muestreo (ms);10", 100.0),
        ("Частота дискретизации;100 Гц", 100.0),
        ("采样频率;100 Hz", 100.0),
        ("サンプリング周期;10 ms", 100.0),
    ],
)
def test_rates_are_stated_in_many_ways(line, rate):
    assert stated_rate([line.split(";")]) == (None if rate is None else pytest.approx(rate))
