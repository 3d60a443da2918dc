import numpy as np

from slime.lead_groups import each_lead, grouped, windows_of


def test_windows_of_leads_are_cut_where_leads_end():
    assert [g.suffix for g in windows_of(32)] == ["_6:12", "_13:30"]
    assert windows_of(32)[1].places == tuple(range(12, 30))  # leads 13 to 30, counted from 1
    assert [g.suffix for g in windows_of(14)] == ["_6:12", "_13:14"]
    assert [g.suffix for g in windows_of(13)] == ["_6:12"]  # lead 13 alone has rows of its own
    assert windows_of(6) == []


def test_leads_keep_their_names_where_not_all_were_looked_at():
    groups = each_lead([1, 2, 4, 8], first=3)
    assert [(g.lead, g.suffix, g.places) for g in groups] == [(4, "", (2,)), (8, "", (3,))]


def test_terms_of_a_window_of_leads_are_added_up():
    terms = np.arange(2 * 3 * 14.0).reshape(2, 3, 14, 1)
    found = grouped(terms, [*each_lead([3]), *windows_of(14)])
    np.testing.assert_array_equal(found[:, :, 0], terms[:, :, 0])
    np.testing.assert_array_equal(found[:, :, 1], terms[:, :, 5:12].sum(axis=2))
    np.testing.assert_array_equal(found[:, :, 2], terms[:, :, 12:14].sum(axis=2))
